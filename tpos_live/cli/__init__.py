"""The command line `tpos-live`: one module per group of commands."""
