"""What people read: text and figures."""
