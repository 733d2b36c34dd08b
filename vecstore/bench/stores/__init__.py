"""
The databases that are measured side by side, and the turns in which they are measured.

`database` says what is asked of one; `ours` is VecStore, `disk` what the disk alone allows, and
every other module of that kind one peer: packages of the extra ``[bench-db]``, imported when one
is asked for, and sqlite3, which comes with Python. Each of `singles`, `bulk`, `growing`, `opening`
and `waiting` is one part of ``vecstore bench store``: its function `turn` runs in a process of its
own (`process`). Not here: the document and the order of the parts (`bench.store`).
"""
