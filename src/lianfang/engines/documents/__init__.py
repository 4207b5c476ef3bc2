"""One template language for everything that is written to people: HTML, plain text, mail.

In: a template (Jinja2, sandboxed) and plain values. Out: text. A name that the template uses and the context lacks is an
error with words, never an empty gap; what comes from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lianfang.kernel.errors import Invalid, Refused

LONGEST = 1 << 20
"""Characters of a template; a letter is shorter than a book."""

_html = ImmutableSandboxedEnvironment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_text = ImmutableSandboxedEnvironment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)


@dataclass(frozen=True, slots=True)
class Mail:
    """A message in its three parts; ``subject`` is one line."""

    subject: str
    text: str
    html: str


def render_html(template: str, context: Mapping[str, Any]) -> str:
    """HTML with every value escaped.

    >>> render_html("<b>{{ name }}</b>", {"name": "<script>"})
    '<b>&lt;script&gt;</b>'
    """
    return _render(_html, template, context)


def render_text(template: str, context: Mapping[str, Any]) -> str:
    """Plain text, values as they are.

    >>> render_text("{{ host }}: {{ count }} alerts", {"host": "web-1", "count": 3})
    'web-1: 3 alerts'
    """
    return _render(_text, template, context)


def render_mail(*, subject: str, text: str, html: str, context: Mapping[str, Any]) -> Mail:
    """A mail from its three templates. Line breaks in the subject become spaces: nobody adds headers by a log field."""
    return Mail(" ".join(render_text(subject, context).split()), render_text(text, context), render_html(html, context))


def _render(environment: ImmutableSandboxedEnvironment, template: str, context: Mapping[str, Any]) -> str:
    if len(template) > LONGEST:
        raise Invalid("The template is too long", why=f"It has {len(template):,} characters; {LONGEST:,} are allowed.")
    try:
        return environment.from_string(template).render(context)
    except TemplateSyntaxError as error:
        raise Invalid(f"Line {error.lineno} of the template cannot be read", why=str(error.message), todo="Mend the line.") from error
    except UndefinedError as error:
        raise Invalid("The template asks for a value that is not there", why=str(error.message), todo="Give the value, or remove it from the template.") from error
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise Invalid("The template cannot be carried out with these values", why=str(error)[:200], todo="Mend the template, or give it values of the kind it works with.") from error
    except SecurityError as error:
        raise Refused("The template reaches for something it may not use", why=str(error), todo="Use plain values only.") from error
