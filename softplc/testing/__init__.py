"""Tests of ST programs in virtual time: what the fixture `plc` and `*_test.yaml` are made of."""
