"""The step validate_data: any table in, a series store and a report out."""
