"""An emulated ARM64 machine, with the appliance installed as its owner installs it, whose plug can be pulled."""
