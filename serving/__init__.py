"""Online: the model server, the gateway, the client and the command that starts them."""
