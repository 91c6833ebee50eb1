#include "server/accounts/uia.h"

#include "server/accounts/accounts-private.h"
#include "server/accounts/sign-in.h"
#include "server/accounts/uia-session.h"

#include <string.h>

typedef struct {
  const char *stage; /* each flow has one */
  /* TRUE, or FALSE with @error, or FALSE with *@challenge. */
  gboolean (*prove) (CmCall *call, const CmJson *auth, CmReply **challenge, GError **error);
} Flow;

/* --- Stages --- */

static gboolean
prove_nothing (CmCall *call, const CmJson *auth, CmReply **challenge, GError **error)
{
  return TRUE;
}

static gboolean
prove_password (CmCall *call, const CmJson *auth, CmReply **challenge, GError **error)
{
  g_autofree char *user_id = cm_sign_in_name (cm_call_node (call), auth, error);
  if (!user_id)
    return FALSE;
  if (strcmp (user_id, cm_call_user (call)) == 0) {
    g_autoptr (CmAccount) account = cm_sign_in_password (call, user_id, auth, challenge, error);
    return account != NULL;
  }
  /* No challenge: no other proof of that user could ever do. */
  *challenge = cm_reply_error_status (403, cm_error_errcode (CM_ERROR_FORBIDDEN),
                                      "This is another user's account");
  return FALSE;
}

static const Flow flows[] = {
  [CM_UIA_ANYBODY] = { "m.login.dummy", prove_nothing },
  [CM_UIA_OWNER] = { "m.login.password", prove_password },
};

/* --- The conversation --- */

/* (transfer full) the 401; @errcode NULL when nothing went wrong yet. A good session is kept, so
 * that clients need not start anew. */
static CmReply *
make_challenge (const CmCall *call, const Flow *flow, const char *session, GBytes *remember,
                const char *errcode, const char *message, GError **error)
{
  g_autofree char *word = session ? g_strdup (session) : cm_uia_session_new (call, remember, error);
  if (!word)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "errcode", errcode);
  cm_json_put_text (writer, "error", message);
  cm_json_put_text (writer, "session", word);
  cm_json_open_array (writer, "completed");
  cm_json_close (writer);
  cm_json_open_object (writer, "params");
  cm_json_close (writer);
  cm_json_open_array (writer, "flows");
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "stages");
  cm_json_put_text (writer, NULL, flow->stage);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json_status (401, writer);
}

/* (transfer full) what the session of @call carries; *@known tells whether there is one that was
 * made for it. */
static GBytes *
open_session (const CmCall *call, gboolean *known)
{
  const CmJson *auth = cm_json_get (cm_call_json (call), "auth");
  const char *session = cm_json_get_text (auth, "session");
  GBytes *remembered = NULL;
  *known = session && cm_uia_session_check (call, session, &remembered);
  return remembered;
}

GBytes *
cm_uia_remembered (CmCall *call)
{
  gboolean known;
  return open_session (call, &known);
}

gboolean
cm_uia_check_remembering (CmCall *call, CmUiaProof proof, GBytes *remember, CmReply **challenge,
                          GError **error)
{
  g_autoptr (GError) failure = NULL;
  const Flow *flow = &flows[proof];
  const CmJson *auth = cm_json_get (cm_call_json (call), "auth");
  const char *stage = cm_json_get_text (auth, "type");
  const char *session = cm_json_get_text (auth, "session");
  const char *errcode = NULL;
  const char *message = NULL;
  gboolean known;

  if (auth && cm_json_type (auth) != CM_JSON_OBJECT) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "auth must be an object");
    return FALSE;
  }
  g_autoptr (GBytes) remembered = open_session (call, &known);
  if (session && !known) {
    session = NULL;
    errcode = "M_UNKNOWN";
    message = "This session is for another request, or too old";
  } else if (stage && strcmp (stage, flow->stage) != 0) {
    errcode = "M_UNRECOGNIZED";
    message = "This kind of proof is not asked for";
  } else if (stage) {
    if (flow->prove (call, auth, challenge, &failure))
      return TRUE;
    if (*challenge)
      return FALSE;
    if (!g_error_matches (failure, CM_ERROR, CM_ERROR_FORBIDDEN)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
    errcode = cm_error_errcode (CM_ERROR_FORBIDDEN);
    message = failure->message;
  }
  *challenge = make_challenge (call, flow, session, remember, errcode, message, error);
  return FALSE;
}

gboolean
cm_uia_check (CmCall *call, CmUiaProof proof, CmReply **challenge, GError **error)
{
  return cm_uia_check_remembering (call, proof, NULL, challenge, error);
}
