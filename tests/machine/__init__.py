"""A real systemd, booted in a container, with the appliance installed as its owner installs it."""
