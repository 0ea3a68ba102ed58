"""Alerts by webhook and e-mail: one message when a problem starts, one when it ends."""
