"""Bulk jobs: any number of requests, many at a time, at the rate that the servers allow.

`_job` is all that is decided, without I/O; `_sync` and `_async` are the two loops around it;
`_rows` is what goes in and comes out, `_limits` how fast, `_files` the files of `millstream bulk`.
"""
