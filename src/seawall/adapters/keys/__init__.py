"""Key stores behind the KeyRing port."""
