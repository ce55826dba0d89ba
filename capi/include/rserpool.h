/* Reliable Server Pooling for programs in C: the basic mode. Made from capi/src by cbindgen. */

#ifndef RSERPOOL_H
#define RSERPOOL_H

#include <stddef.h>
#include <stdint.h>

// How a call ended.
typedef enum {
  // It is done.
  RSERPOOL_STATUS_OK = 0,
  // An argument is wrong.
  RSERPOOL_STATUS_INVALID = 1,
  // No registrar can be reached.
  RSERPOOL_STATUS_NO_REGISTRAR = 2,
  // No registrar answered in time.
  RSERPOOL_STATUS_TIMED_OUT = 3,
  // There is no pool of this handle.
  RSERPOOL_STATUS_UNKNOWN_POOL = 4,
  // The registrar refused.
  RSERPOOL_STATUS_REFUSED = 5,
  // This endpoint has no such element.
  RSERPOOL_STATUS_NOT_REGISTERED = 6,
  // The endpoint was shut down.
  RSERPOOL_STATUS_CLOSED = 7,
  // A fault of this library.
  RSERPOOL_STATUS_INTERNAL = 8,
} rserpool_status;

// The protocol of a service.
typedef enum {
  // TCP.
  RSERPOOL_TRANSPORT_TCP = 0,
  // UDP.
  RSERPOOL_TRANSPORT_UDP = 1,
  // SCTP, with a control channel.
  RSERPOOL_TRANSPORT_SCTP = 2,
  // Another one. It cannot be registered.
  RSERPOOL_TRANSPORT_OTHER = 3,
} rserpool_transport;

// The policies that a service can be registered with.
typedef enum {
  // One after the other.
  RSERPOOL_POLICY_ROUND_ROBIN = 0,
  // One after the other, as often as `policy_value` says.
  RSERPOOL_POLICY_WEIGHTED_ROUND_ROBIN = 1,
  // Any.
  RSERPOOL_POLICY_RANDOM = 2,
  // Any, as often as `policy_value` says.
  RSERPOOL_POLICY_WEIGHTED_RANDOM = 3,
  // The one with the largest `policy_value`.
  RSERPOOL_POLICY_PRIORITY = 4,
  // The one with the least load; see `rserpool_report_load`.
  RSERPOOL_POLICY_LEAST_USED = 5,
  // Any, the less load the more often.
  RSERPOOL_POLICY_RANDOMIZED_LEAST_USED = 6,
} rserpool_policy;

// The access of a program to the registrars. It may be used by several threads
// at once.
typedef struct rserpool_endpoint rserpool_endpoint;

// A service to be registered. Numbers stand for the enumerations, so that a
// wrong one is refused.
typedef struct {
  // The pool handle.
  const uint8_t *handle;
  // Its length in bytes.
  size_t handle_length;
  // The PE identifier; 0 draws one.
  uint32_t pe;
  // A value of `rserpool_transport`.
  uint32_t transport;
  // The address, such as "192.0.2.1" or "2001:db8::1".
  const char *host;
  // The port.
  uint16_t port;
  // A value of `rserpool_policy`.
  uint32_t policy;
  // The weight or priority of the policies that have one.
  uint32_t policy_value;
  // The registration life in seconds; 0 for 90.
  uint32_t life_seconds;
} rserpool_service;

// An address of an element.
typedef struct {
  // The address as text, such as "192.0.2.1".
  char host[46];
  // The port.
  uint16_t port;
} rserpool_address;

// A pool element as a registrar gives it.
typedef struct {
  // Its PE identifier.
  uint32_t pe;
  // Its home registrar.
  uint32_t home;
  // The protocol of its service.
  rserpool_transport transport;
  // Where its service is.
  rserpool_address *addresses;
  // How many addresses it has.
  size_t address_count;
} rserpool_element;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// What a status means, in English. It stays valid.
const char *rserpool_message(int status);

// Finds one of these registrars, such as "tcp://192.0.2.8:3863,192.0.2.9", and
// gives an endpoint, which is to be ended by `rserpool_disconnect`.
//
// # Safety
// `registrars` is a C string; `endpoint` points to where the result goes.
rserpool_status rserpool_connect(const char *registrars, rserpool_endpoint **endpoint);

// Deregisters everything, and ends the endpoint. Null is ignored.
//
// # Safety
// `endpoint` is null, or came from `rserpool_connect` and is in no other call,
// now or later.
void rserpool_disconnect(rserpool_endpoint *endpoint);

// Registers a service as a pool element, waits until a registrar has confirmed
// it, and gives its PE identifier where `pe` is not null. It stays registered,
// with this registrar or another one, until it is deregistered.
//
// # Safety
// `endpoint` came from `rserpool_connect`; `service` and what it points to can
// be read; `pe` is null or can be written to.
rserpool_status rserpool_register(const rserpool_endpoint *endpoint,
                                  const rserpool_service *service,
                                  uint32_t *pe);

// Tells the load of an element of this endpoint, from 0 to 1, for a policy that
// has one.
//
// # Safety
// `endpoint` came from `rserpool_connect`; `handle_length` bytes of `handle` can
// be read.
rserpool_status rserpool_report_load(const rserpool_endpoint *endpoint,
                                     const uint8_t *handle,
                                     size_t handle_length,
                                     uint32_t pe,
                                     double load);

// Deregisters an element of this endpoint.
//
// # Safety
// As `rserpool_report_load`.
rserpool_status rserpool_deregister(const rserpool_endpoint *endpoint,
                                    const uint8_t *handle,
                                    size_t handle_length,
                                    uint32_t pe);

// Has a registrar resolve a pool handle to at most `items` elements; 0 leaves
// the number to it. The one to be used first is at the front. What is given is
// to be freed by `rserpool_free_elements`.
//
// # Safety
// As `rserpool_report_load`; `elements` and `count` can be written to.
rserpool_status rserpool_resolve(const rserpool_endpoint *endpoint,
                                 const uint8_t *handle,
                                 size_t handle_length,
                                 uint32_t items,
                                 rserpool_element **elements,
                                 size_t *count);

// Frees what `rserpool_resolve` gave. Null is ignored.
//
// # Safety
// Both are as `rserpool_resolve` gave them, and are not used again.
void rserpool_free_elements(rserpool_element *elements, size_t count);

// Reports an element that could not be reached. The registrar looks after it;
// nothing answers a report.
//
// # Safety
// As `rserpool_report_load`.
rserpool_status rserpool_report_unreachable(const rserpool_endpoint *endpoint,
                                            const uint8_t *handle,
                                            size_t handle_length,
                                            uint32_t pe);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RSERPOOL_H */
