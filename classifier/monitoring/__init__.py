"""The site seen from above: start page, figures over time, metrics and health checks.

For the faces alone; it may import every package below it.
"""
