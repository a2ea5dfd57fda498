"""What drivers of any protocol share: link state, block planning, addresses."""
