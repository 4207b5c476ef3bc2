"""The only place that knows every room: settings, addresses, processes, the command line."""
