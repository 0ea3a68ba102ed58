"""Where passwords and other secrets are; settings of credentials; settings without secrets."""
