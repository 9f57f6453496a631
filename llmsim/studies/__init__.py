"""The studies of Wilkins et al., done as they were done and as they should be."""
