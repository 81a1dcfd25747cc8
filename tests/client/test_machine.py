"""What the system says of a processor, read as it is written on machines that are not this one."""

from zoo_client import machine

PI5 = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes asimdhp cpuid asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

processor\t: 3
Features\t: fp asimd evtstrm aes asimdhp cpuid asimddp
CPU part\t: 0xd0b

Revision\t: c04170
Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
RISCV = "processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdcv_zicbom_zicboz\nmmu\t\t: sv39\n"
MAC = """machdep.cpu.brand_string: Apple M2
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 1
hw.optional.arm.FEAT_SME: 0
hw.optional.AdvSIMD: 1
"""


def test_flags_of_other_systems() -> None:
    assert {"asimd", "asimddp"} <= machine.flags_of(machine.cpu_info(PI5))
    assert "v" in machine.flags_of(machine.cpu_info(RISCV))
    assert "v" not in machine.flags_of(machine.cpu_info("isa : rv64imafdc_zvfh\n"))
    mac = machine.mac_info(MAC)
    assert mac["model name"] == "Apple M2"
    assert {"asimddp", "i8mm", "asimd"} == machine.flags_of(mac)
    assert machine.flags_of({}) == set()


def test_here_is_the_platform_of_a_measurement_made_here() -> None:
    assert machine.here().key.startswith("host-cpu/")
    assert machine.here() == machine.here()
