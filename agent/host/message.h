/* message - one message out, one back, over UDP or TCP: what DNS updates travel by.
 *
 * A datagram is repeated after 1 s, 2 s and 4 s, and goes over a stream where it is still not
 * answered then, or where nobody listens for datagrams. Only what begins as the caller said counts
 * as an answer, and only from the address that was asked; the rest is dropped. Which peer may be
 * spoken to, and at which addresses, is the policy of host/http.
 */
#ifndef DIF_HOST_MESSAGE_H
#define DIF_HOST_MESSAGE_H

#include "host/engine.h"
#include "host/http.h"

struct dif_message_run;

/* call is copied. cb is called once, on the loop, never before this returns, also after cancel:
 * with the reply (status 200), valid during the call, or with status 0 and err (TRANSIENT,
 * PERMANENT, CANCELED). Never NULL. */
struct dif_message_run *
dif_message_start(struct dif_engine *e, const struct dif_exchange_call *call,
                  const struct dif_http_policy *policy,
                  void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err),
                  void *data);
void dif_message_cancel(struct dif_message_run *run);

#endif
