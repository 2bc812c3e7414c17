"""Reports on the data set and on experiments, as documents, plots and sections that a page lays out.

For the commands and pages that make and show them; `pipeline` beside it does not know it.
"""
