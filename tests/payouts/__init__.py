"""Tests of the payouts room."""

import pytest

pytest.register_assert_rewrite("tests.payouts.provider_contract", "tests.payouts.world")
