/* What the server holds for who reads an answer, and how long he may take (class
 * slow-reader-memory). */
#include "server/http/conn.h"

#include "server/http/port.h"
#include "server/http/reply-private.h"

/* An answer up to here is not counted. */
#define SMALL_ANSWER (64 * 1024)
/* What memory holds of an answer beyond LARGE_ANSWER must be read at a better pace than files. */
#define LARGE_ANSWER      (1024 * 1024)
#define US_PER_LARGE_BYTE (G_TIME_SPAN_SECOND / 65536)
/* When who asks for too many large answers at a time may try again. */
#define RETRY_MS 5000

/* Who has a share of what is held of answers. A user has his own, for an office may stand behind
 * one address; a guest or a server costs nothing to make. */
static const char *
reader_of (const CmConn *conn)
{
  const CmRequester *requester = conn->call->requester;
  gboolean is_user = requester != NULL && requester->user_id != NULL && !requester->guest;

  return is_user ? requester->user_id : conn->call->address;
}

CmReply *
cm_conn_afford (CmConn *conn, CmReply *reply)
{
  const CmPort *port = conn->daemon->port;
  gsize held = cm_reply_held (reply);

  if (held <= SMALL_ANSWER || cm_charge_take (&conn->answer_charge, port->answers, reader_of (conn),
                                              MIN (held, port->answers_of_one)))
    return reply;
  reply = cm_reply_limited (RETRY_MS);
  cm_call_change_reply (conn->call, reply);
  return reply;
}

gint64
cm_conn_reading_us (const CmReply *reply)
{
  gint64 length = (gint64) cm_reply_length (reply);
  gint64 large = (gint64) cm_reply_held (reply) - LARGE_ANSWER;

  if (large <= 0)
    return length * CM_CONN_US_PER_BYTE;
  return (length - large) * CM_CONN_US_PER_BYTE + large * US_PER_LARGE_BYTE;
}
