"""One static site of all pages of the repository, with an API reference: `python -m kerastag.docs --output site`.

Needs a checkout and the extra `docs`. MkDocs makes it, and checks every link and anchor.
"""
