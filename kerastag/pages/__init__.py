"""What our HTML pages have in common: colours for light and dark, tables that a click sorts, and how they are printed."""

import base64

import jinja2


def environment(package: str) -> jinja2.Environment:
    """Templates of a package, and those that all pages share: `style.css` and `page.js`.

    Args:
        package: Name of the package whose folder `templates` is looked into first.
    """
    loaders = [jinja2.PackageLoader(name) for name in (package, __name__)]
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def embedded(png: bytes) -> str:
    """A figure as the address of an image that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
