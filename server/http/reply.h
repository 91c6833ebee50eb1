/* The answer to a call, immutable once handed over. */
#pragma once

#include "crypto/json-writer.h"

G_BEGIN_DECLS

typedef struct _CmReply CmReply;

/* @body is taken (transfer full), may be NULL for an empty one. */
CmReply *cm_reply_new (unsigned status, const char *content_type, GBytes *body);
/* 200 and application/json: ends @writer and takes its text. */
CmReply *cm_reply_json (CmJsonWriter *writer);
CmReply *cm_reply_json_status (unsigned status, CmJsonWriter *writer);
/* 200 and {}. */
CmReply *cm_reply_empty (void);
/* 200 with a file of @length bytes from @fd (taken). */
CmReply *cm_reply_file (const char *content_type, int fd, guint64 length);
/* Puts @before and @after (both taken) around the file of @reply. */
void cm_reply_frame (CmReply *reply, GBytes *before, GBytes *after);
/* What a GError looks like to a client: errcode, error, and the status of its code. Errors of other
 * domains are M_UNKNOWN 500 with an opaque id; the details go to the log. */
CmReply *cm_reply_error (const GError *error);
/* As cm_reply_error, for a status that no CmError carries (415). */
CmReply *cm_reply_error_status (unsigned status, const char *errcode, const char *message);
/* 429 with retry_after_ms and a Retry-After header. */
CmReply *cm_reply_limited (gint64 retry_after_ms);
CmReply *cm_reply_redirect (const char *location);
/* @value must hold no control characters: a header with one is dropped and logged. */
void cm_reply_add_header (CmReply *reply, const char *name, const char *value);
unsigned cm_reply_status (const CmReply *reply);
GBytes *cm_reply_body (const CmReply *reply); /* borrowed, nullable */
void cm_reply_free (CmReply *reply);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmReply, cm_reply_free)

G_END_DECLS
