"""The robustness report: one page, its figures and its tables, from taggers and jets.

`Subject` is what it is about, each `Part` answers a question, `claims` and `verdict` draw conclusions, `page` is how it looks.
"""
