/* What the handshakes share: the template of a resident server, and the event that is built here
 * from what little of it can be believed. */
#pragma once

#include "federation/handshake.h"
#include "federation/intake-private.h"

G_BEGIN_DECLS

/* A membership that is asked for. */
typedef struct {
  CmIntake *intake;
  const char *room_id;
  const char *user_id;
  const char *membership; /* "join", "leave", "knock" */
  const CmJson *content;  /* nullable */
} CmPlea;

/**
 * cm_plea_make: asks @server for a template (make_join, make_leave, make_knock) and builds the
 * event. CM_ERROR_BAD_GATEWAY for a template of anything but what was asked for (CVE-2026-24471).
 * Returns: (transfer full) the event, signed.
 */
CmEvent *cm_plea_make (const CmPlea *plea, const char *server, GError **error);
/* Sends @event to @server (send_join, send_leave, send_knock) and gives its answer. */
CmJsonDoc *
cm_plea_send (const CmPlea *plea, const char *server, const CmEvent *event, GError **error);

/* Tries the servers of @via in turn, until @func says that one let the plea through. Else the
 * failure of the one that says most: one of the room's rules rather than of a server that was not
 * there. */
typedef gboolean (*CmPleaFunc) (const CmPlea *plea, const char *server, gpointer data,
                                GError **error);
gboolean cm_plea_through (const CmPlea *plea, const char *const *via, CmPleaFunc func,
                          gpointer data, GError **error);

G_END_DECLS
