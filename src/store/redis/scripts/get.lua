return found(KEYS[1])
