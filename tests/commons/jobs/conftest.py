collect_ignore = ["mortal.py"]  # a script; what it declares would be heard by every test
