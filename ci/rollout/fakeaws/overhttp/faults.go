package overhttp

import (
	"net"
	"net/http"
	"strconv"
)

// Fault is what goes wrong with one request. The zero value lets it through.
type Fault struct {
	// Err is answered as the service's error, and nothing is carried out.
	Err error
	// Status is answered with a page, as what stands between client and service does.
	Status int
	// Reset breaks the connection before anything is carried out.
	Reset bool
	// Lost breaks the connection after the request was carried out.
	Lost bool
	// Half carries the request out and breaks the connection in the middle of the answer.
	Half bool
}

// Break lets the next requests of an action, such as ecs:UpdateService, go wrong, one
// fault for each. The action * is any request.
func (s *Server) Break(action string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[action] = append(s.faults[action], faults...)
}

// next is the fault of the next request of an action.
func (s *Server) next(action string) Fault {
	for _, key := range []string{action, "*"} {
		if all := s.faults[key]; len(all) > 0 {
			s.faults[key] = all[1:]
			return all[0]
		}
	}
	return Fault{}
}

// instead answers what is no answer.
func (f Fault) instead(w http.ResponseWriter) {
	if f.Status != 0 {
		http.Error(w, "<html><body>"+http.StatusText(f.Status)+"</body></html>", f.Status)
		return
	}
	hang(w, nil)
}

// hang sends what there is and resets the connection.
func hang(w http.ResponseWriter, content []byte) {
	hijacker, is := w.(http.Hijacker)
	if !is {
		panic(http.ErrAbortHandler) // HTTP/2: the stream is reset
	}
	connection, _, err := hijacker.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(content) > 0 {
		// All is sent before the end, so that it does arrive.
		_, _ = connection.Write(content)
	} else if tcp, is := connection.(*net.TCPConn); is {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// half writes half of an answer.
type half struct {
	http.ResponseWriter
}

// Write implements io.Writer: the head promises all, half of the content comes.
func (h *half) Write(content []byte) (int, error) {
	head := "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(content)) + "\r\n"
	for name := range h.Header() {
		head += name + ": " + h.Header().Get(name) + "\r\n"
	}
	hang(h.ResponseWriter, []byte(head+"\r\n"+string(content[:len(content)/2])))
	return len(content), nil
}
