"""The robustness report: one page, its figures and its tables, from taggers and a data set.

A part of the report is a module with `NAME`; `numbers(subject)`, plain data for JSON; `draw(subject, numbers)`, its figures by
name; `tables_of(numbers)`, tidy rows by name of the CSV file; and `section(subject, numbers)`, what the page says.
"""
