package pipeline

// Version is this program's version, in reports and on what it publishes.
const Version = "0.1.0-dev"
