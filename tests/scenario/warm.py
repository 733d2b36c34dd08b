"""Loaded by the server of `lives` before it forks: what they all need is compiled by then."""

import vecstore
from tests.scenario.calls import CONFIG, carry_out, clock_at_rest

with vecstore.open(
    dim=4, metric="l2", config={**CONFIG, "maintenance": "inline"}, clock=(clock := clock_at_rest())
) as store:
    for number in range(200):
        carry_out(store, clock, 0, number)
    store.query([1, 2, 3, 4])
    store.verify()
