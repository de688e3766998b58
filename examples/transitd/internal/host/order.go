// SPDX-License-Identifier: Apache-2.0

package host

// The order in which resources are added, so that no packet goes astray meanwhile; they are removed the other way
// round. A place to send to comes before what sends there: a bouncer knows endpoints before it is the bouncer of their
// network, and that before it is the divider of the VPC. A workload comes when its VPC is whole, and tunnel packets are
// taken last. Functions that filter are in their places before packets flow, but those of one endpoint, which has
// to be there first: what has to be filtered from the first packet on, the VPC's chain does.
const (
	phaseRelease = iota // what stands in the way of other plumbing
	phaseBridge
	phaseAddress
	phaseRoute
	phaseVia // routes by a next hop, which is on another's way
	phaseFunction
	phaseDroplet
	phaseWideStage
	phaseLeave // endpoints of this host whose addresses get to live elsewhere
	phaseEndpoint
	phaseNetwork
	phaseVPC
	phaseMakeWay // endpoints whose addresses, or interfaces, others get
	phaseLocalEndpoint
	phaseEndpointStage
	phasePeer
	phases
)
