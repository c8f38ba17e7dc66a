"""The whole chain on one machine: sample patients, a sandbox model, five exchanges."""
