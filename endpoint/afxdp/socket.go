// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Socket receives and sends the packets of one queue. It is safe for concurrent use: one Recv at a time
// goes on, and one Send or Alloc; others wait for it. A goroutine that waits here takes no thread.
type Socket struct {
	queue int
	port  uint16 // of tunnel packets
	class uint16 // of their options
	multi bool

	file *os.File
	raw  syscall.RawConn

	// Of who receives. What the step needs is kept here, so that it is made once: it may not allocate.
	receiving  sync.Mutex
	into       []Frame
	got        int
	received   []Frame // by the last Recv
	onReadable func(fd uintptr) bool

	// Of who sends.
	transmitting sync.Mutex
	writing      writeWait
	out          []Frame
	done         int
	failure      error
	onWritable   func(fd uintptr) bool
	onFree       func(fd uintptr) bool

	mu               sync.Mutex // of all below, and never held while waiting
	gone             error      // why there is nothing more to come; nil: there may be
	umem             *umem
	rx, tx           *ring[unix.XDPDesc]
	fill, completion *ring[uint64]
	count            counters
}

// newSocket makes a socket in the thread's network namespace, bound to nothing yet.
func newSocket(c Config) (s *Socket, err error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("create AF_XDP socket: %w", explain(err))
	}
	s = &Socket{
		port:  c.Port,
		class: c.OptionClass,
		multi: c.MultiBuffer,
		file:  os.NewFile(uintptr(fd), "af_xdp"),
		umem:  newUmem(2*c.RingSize, c.FrameSize),
	}
	s.received = make([]Frame, 0, 2*c.RingSize)
	s.onReadable, s.onWritable, s.onFree = s.receiveStep, s.sendStep, s.allocStep
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.raw, err = s.file.SyscallConn(); err != nil {
		return nil, err
	}
	// It is an error here if the runtime's poller has not taken the descriptor.
	if err := s.file.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("wait for AF_XDP socket: %w", err)
	}
	if err := s.control(func(fd int) error { return s.setUp(fd, uint32(c.RingSize)) }); err != nil {
		return nil, err
	}
	return s, nil
}

// control runs f on the descriptor, which cannot be closed meanwhile.
func (s *Socket) control(f func(fd int) error) error {
	var result error
	if err := s.raw.Control(func(fd uintptr) { result = f(int(fd)) }); err != nil {
		return waited(err)
	}
	return result
}

// setUp gives the kernel the memory, and gets the rings.
func (s *Socket) setUp(fd int, size uint32) (err error) {
	if err := register(fd, s.umem); err != nil {
		return fmt.Errorf("register %d bytes of memory for packets: %w", len(s.umem.mem), explain(err))
	}
	for _, option := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_RX_RING, unix.XDP_TX_RING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_XDP, option, int(size)); err != nil {
			return fmt.Errorf("create ring of %d entries: %w", size, explain(err))
		}
	}
	at, err := offsets(fd)
	if err != nil {
		return fmt.Errorf("read layout of rings: %w", explain(err))
	}
	if s.fill, err = mapRing[uint64](fd, unix.XDP_UMEM_PGOFF_FILL_RING, at.Fr, size); err != nil {
		return err
	}
	if s.completion, err = mapRing[uint64](fd, unix.XDP_UMEM_PGOFF_COMPLETION_RING, at.Cr, size); err != nil {
		return err
	}
	if s.rx, err = mapRing[unix.XDPDesc](fd, unix.XDP_PGOFF_RX_RING, at.Rx, size); err != nil {
		return err
	}
	if s.tx, err = mapRing[unix.XDPDesc](fd, unix.XDP_PGOFF_TX_RING, at.Tx, size); err != nil {
		return err
	}
	s.enlarge(fd, int(size))
	return nil
}

// enlarge has the kernel take more at once. Without, it is slower only.
func (s *Socket) enlarge(fd, size int) {
	// What is on its way as skbs counts with its overhead; the usual 208 KiB are less than 100 packets.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, size*2*int(s.umem.size()))
	_ = unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, size) // 6.18; 32 packets a call before
}

// bind binds it to a queue of an interface. The error is the kernel's.
func (s *Socket) bind(ifindex, queue int, flags uint16) error {
	s.queue = queue
	err := s.control(func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrXDP{Flags: flags, Ifindex: uint32(ifindex), QueueID: uint32(queue)})
	})
	if err == nil {
		s.mu.Lock()
		s.refill()
		s.mu.Unlock()
	}
	return err
}

// Queue is the number of the queue.
func (s *Socket) Queue() int { return s.queue }

// close wakes who waits, and unmaps the rings when nobody uses them any more.
func (s *Socket) close() error {
	err := s.file.Close() // after which no step runs
	s.receiving.Lock()
	defer s.receiving.Unlock()
	s.transmitting.Lock()
	defer s.transmitting.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.umem.forget(),
		unmap(&s.rx), unmap(&s.tx), unmap(&s.fill), unmap(&s.completion))
}
