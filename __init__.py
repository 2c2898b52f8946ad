"""penstock: mail applications beside Postfix."""
