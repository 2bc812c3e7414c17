"""Reports on data and models: functions that measure, and functions that turn what was measured into sections.

A report is stored by `documents`, laid out by one page and written by one Markdown writer; `sections` says what it is
made of. For the pages and commands that show reports; no other package of the core imports it.
"""
