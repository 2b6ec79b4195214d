"""How predictions become numbers, by name: one protocol a file, each exactly as its benchmark does it."""
