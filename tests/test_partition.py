# SPDX-License-Identifier: Apache-2.0
"""Any plan, not just a good one, must give sound device graphs and the unsplit model's bits."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.splits import compared, needs_tflm, networks, plans
from tflsplit.check import check_devices
from tflsplit.partition import partition
from tflsplit.plan.halos import recompute_halos
from tflsplit.rewrite import Split


@needs_tflm
@settings(max_examples=60)
@given(st.data())
def test_any_plan_of_any_network_gives_the_same_bits(data: st.DataObject):
    graph = data.draw(networks(), label="network")
    stock = data.draw(st.booleans(), label="stock kernels")
    plan = data.draw(plans(graph, data.draw(st.integers(1, 5)), stock), label="plan")
    if data.draw(st.booleans(), label="recompute halos"):
        plan = recompute_halos(graph, plan)
    devices = partition(graph, plan)
    assert check_devices(graph, devices) == []
    verdict = compared(Split(graph, plan, devices), runs=1)
    assert verdict.passed, verdict
