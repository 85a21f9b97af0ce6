"""From spans to facts: what a recognised span says, as a value."""
