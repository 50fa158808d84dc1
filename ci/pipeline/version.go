package pipeline

// Version is this program's version, as shown in reports and on published artifacts.
const Version = "0.1.0-dev"
