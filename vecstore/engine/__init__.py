"""
The database around an index: views, writes, queries, upkeep.

Read in this order: `names` (ids and slots), `chunks` (metadata and times), `view` (what a reader
sees), `table` (what the writer changes), `changes` (what a call asks for), `writer`, `executor`,
`maintenance`.
"""
