package rollout

// Tuning holds what cannot be set in pipeline.yaml. Units and limits stand at each field.
type Tuning struct {
	// Architecture is X86_64 or ARM64, and must be that of the image.
	Architecture string
	// MinimumHealthyPercent and MaximumPercent bound the running tasks during a deployment.
	MinimumHealthyPercent, MaximumPercent int
	// BreakerFailures is how many failed tasks end a rolling deployment, 1..200.
	BreakerFailures int
	// StopSeconds is how long the application may take to exit after SIGTERM, 2..120.
	StopSeconds int
	// GroupStickinessSeconds is how long a browser stays with one colour, 1..604800. While
	// it lasts, the weights of a canary do not apply to that browser.
	GroupStickinessSeconds int
	// TargetStickinessSeconds is how long a browser stays with one task, 1..604800:
	// uploads of a Streamlit session must reach the task that holds its websocket.
	TargetStickinessSeconds int
	// IdleSeconds is how long the load balancer keeps an idle connection, 1..4000.
	// A Streamlit page is one websocket that may be idle for minutes.
	IdleSeconds int
	// Errors5xx is how many 5xx answers a minute raise the alarm, LatencySeconds the
	// 95th percentile of the response time that does.
	Errors5xx      float64
	LatencySeconds float64
}

// DefaultTuning returns the values used when Input.Tuning is nil.
func DefaultTuning() Tuning {
	return Tuning{
		Architecture:          "X86_64",
		MinimumHealthyPercent: 100, MaximumPercent: 200,
		BreakerFailures:        3,
		StopSeconds:            30,
		GroupStickinessSeconds: 300, TargetStickinessSeconds: 3600, IdleSeconds: 300,
		Errors5xx: 5, LatencySeconds: 5,
	}
}
