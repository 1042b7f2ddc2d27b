"""Makes sweep data: many small networks on tasks that grok, trained at once in stacks."""
