/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <daemon.h>
#include <encoding/payloads/eap_payload.h>

#include "kaido_password.h"

/* A packet is: code, identifier, length (2 bytes), type, and MSCHAPv2's operation (RFC 3748 s. 4, RFC 2759). */
#define TYPE_AT      4
#define OPERATION_AT 5
#define RESPONSE     2
#define FAILURE      4

enum password_step password_step(message_t *message, bool incoming)
{
	eap_payload_t *payload;
	chunk_t data;

	if (message->get_exchange_type(message) != IKE_AUTH)
		return PASSWORD_NONE;
	payload = (eap_payload_t *)message->get_payload(message, PLV2_EAP);
	if (!payload)
		return PASSWORD_NONE;
	data = payload->get_data(payload);
	if (data.len <= OPERATION_AT || data.ptr[TYPE_AT] != EAP_MSCHAPV2)
		return PASSWORD_NONE;
	if (incoming && data.ptr[0] == EAP_RESPONSE && data.ptr[OPERATION_AT] == RESPONSE)
		return PASSWORD_GUESSED;
	if (!incoming && data.ptr[0] == EAP_REQUEST && data.ptr[OPERATION_AT] == FAILURE)
		return PASSWORD_WRONG;
	return PASSWORD_NONE;
}
