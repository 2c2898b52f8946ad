"""The try-out behind `sh postfix/try.sh`: real messages through a private Postfix, penstock and Postfix again."""
