"""nn.Modules only: no files, no devices, no configuration parsing."""
