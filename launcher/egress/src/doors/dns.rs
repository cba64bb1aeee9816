//! The DNS stub: answers for names that the rules know, with addresses of our own, and asks nobody.
//!
//! That is what makes names no way out: whatever a question holds, it ends here.

use std::net::Ipv4Addr;

use shieldrun_policy::network::{Host, Rules, host};
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

use crate::ledger::{Note, Refusal};

/// More than this is no question.
pub(super) const LARGEST: usize = 4096;
/// How long an answer holds, seconds: it is the same for the whole run.
const HOLDS: u32 = 60;

/// The answer to one datagram; `None` for what is no question.
pub(super) fn answer(
    question: &[u8],
    rules: &Rules,
    note: impl Fn(Note),
    address_of: impl FnOnce(&Host) -> Option<Ipv4Addr>,
) -> Option<Vec<u8>> {
    let packet = Packet::parse(question).ok()?;
    if packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let mut reply = Packet::new_reply(packet.id());
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if packet.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    let code = match packet.questions.as_slice() {
        [asked] if packet.opcode() == OPCODE::StandardQuery && asked.qclass == QCLASS::CLASS(CLASS::IN) => {
            let text = asked.qname.to_string();
            let code = match host(&text) {
                Ok(Host::Name(name)) if rules.knows(&Host::Name(name.clone())) => {
                    // Other types than A have no answer: the name is there, and that is all.
                    if asked.qtype == QTYPE::TYPE(TYPE::A) {
                        match address_of(&Host::Name(name.clone())) {
                            Some(address) => {
                                let data = RData::A(A { address: address.to_bits() });
                                let name = asked.qname.clone();
                                reply.answers.push(ResourceRecord::new(name, CLASS::IN, HOLDS, data));
                                RCODE::NoError
                            }
                            None => {
                                note(Note::Denied { to: name, why: Refusal::Limit });
                                RCODE::ServerFailure
                            }
                        }
                    } else {
                        RCODE::NoError
                    }
                }
                _ => {
                    note(Note::NameDenied(super::shown(&text)));
                    RCODE::NameError
                }
            };
            reply.questions.push(asked.clone());
            code
        }
        _ => RCODE::Refused,
    };
    *reply.rcode_mut() = code;
    reply.build_bytes_vec_compressed().ok()
}
