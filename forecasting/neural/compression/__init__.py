"""How a trained network is made smaller and faster: what is taken out of it, and what precision it is converted to."""
