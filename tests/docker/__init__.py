"""What a user of an engine sees: dockerd with eci-runc as a runtime."""
